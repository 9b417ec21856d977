/** docs/reference/lab-file.md and its JSON Schema: every key of the lab file. */
import { labJsonSchema } from '@vdpalab/lab';
import { code, table, type Page } from './page.ts';

/** The parts of JSON Schema that zod writes for a lab file. */
interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly additionalProperties?: Schema | boolean;
}

/** One line of the page. */
type Row = readonly [key: string, value: string, fallback: string, says: string];

/** What a value may be, in few words. */
function kindOf(schema: Schema): string {
  if (schema.const !== undefined) return code(String(schema.const));
  if (schema.enum !== undefined) return schema.enum.map((value) => code(String(value))).join(', ');
  const either = schema.anyOf ?? schema.oneOf;
  if (either !== undefined) return [...new Set(either.map(kindOf))].join(' or ');
  if (schema.type === 'array') return `list${schema.items === undefined ? '' : ` of ${kindOf(schema.items)}`}`;
  if (schema.type === 'object') return schema.properties === undefined ? 'map' : 'section';
  if (schema.type !== 'integer') return schema.type ?? 'any';
  const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = schema;
  return maximum >= Number.MAX_SAFE_INTEGER ? `number from ${minimum}` : `${minimum} to ${maximum}`;
}

function fallbackOf(schema: Schema, required: boolean): string {
  if (required) return 'must be given';
  const value = schema.default;
  if (value === undefined || value === '' || (typeof value === 'object' && Object.keys(value ?? {}).length === 0)) return '';
  return code(JSON.stringify(value).replace(/^"|"$/g, ''));
}

/** A section's keys, then those of the sections below it. */
function rowsOf(schema: Schema, path: string): Row[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const at = path === '' ? key : `${path}.${key}`;
    const required = schema.required?.includes(key) === true;
    return [[code(at), kindOf(value), fallbackOf(value, required), value.description ?? ''] as const, ...below(value, at)];
  });
}

/** Rows of what stands inside a value. */
function below(value: Schema, at: string): Row[] {
  if (value.properties !== undefined) return rowsOf(value, at);
  if (value.items !== undefined) return below(value.items, `${at}[]`);
  if (value.oneOf !== undefined) return value.oneOf.flatMap((one) => rowsOf(one, `${at}${modelOf(one)}`));
  return typeof value.additionalProperties === 'object' ? below(value.additionalProperties, `${at}.*`) : [];
}

/** Which of several shapes: the value of its `model`. */
function modelOf(schema: Schema): string {
  const model = schema.properties?.['model']?.const;
  return model === undefined ? '' : `(${String(model)})`;
}

/** The generated parts. */
export function labFilePages(): Page[] {
  const schema = labJsonSchema() as Schema; // written by zod from the lab file's declaration
  return [
    { path: 'docs/reference/lab-file.md', part: 'keys', text: table(['key', 'value', 'default', 'says'], rowsOf(schema, '')) },
    { path: 'docs/reference/lab-file.schema.json', part: null, text: `${JSON.stringify(schema, null, 2)}\n` },
  ];
}
