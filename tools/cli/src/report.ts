/** The report of a run: one HTML file that needs nothing else. */

/** Text as HTML shows it. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** One command of the transcript. */
export interface ReportCommand {
  /** Heading it stands under; the empty string before the first. */
  readonly section: string;
  readonly command: string;
  /** Everything it printed, with its `exit:`, `dmesg:` and `uevent:` lines. */
  readonly output: string;
  readonly ok: boolean;
}

/** What a report shows. */
export interface Report {
  readonly title: string;
  /** Name and value, in order. */
  readonly summary: readonly (readonly [name: string, value: string])[];
  readonly pictures: readonly { readonly title: string; readonly svg: string }[];
  readonly commands: readonly ReportCommand[];
}

const style = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c2330; background: #fff }
h1 { font-size: 1.6rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid #d5dae3; padding-bottom: .3rem; font-size: 1.2rem }
table { border-collapse: collapse } td { padding: .15rem 1.2rem .15rem 0; vertical-align: top } td:first-child { color: #5b6577 }
figure { margin: 1rem 0; overflow-x: auto } figcaption { color: #5b6577 } svg { max-width: 100%; height: auto }
pre { background: #f5f7fa; border-left: 3px solid #b9c3d3; margin: .4rem 0; padding: .5rem .8rem; overflow-x: auto; font-size: 13px; line-height: 1.4 }
pre.bad { border-color: #c4314b } .cmd { font-weight: 600 } .note { color: #76808f }
`;

/** The SVG element alone: what stands before it belongs to a file of its own. */
const inline = (svg: string): string => svg.slice(Math.max(0, svg.indexOf('<svg')));

function commandHtml({ command, output, ok }: ReportCommand): string {
  const lines = output.split('\n').filter((line) => line !== 'exit: 0').map((line) =>
    (/^(dmesg|uevent|exit): /.test(line) ? `<span class="note">${escapeHtml(line)}</span>` : escapeHtml(line)));
  const body = lines.join('\n').trimEnd();
  return `<pre${ok ? '' : ' class="bad"'}><span class="cmd">$ ${escapeHtml(command)}</span>${body === '' ? '' : `\n${body}`}</pre>`;
}

/** The report as one HTML document. */
export function reportHtml(report: Report): string {
  const sections: string[] = [];
  let open = '';
  for (const command of report.commands) {
    if (command.section !== open) {
      open = command.section;
      sections.push(`<h2>${escapeHtml(open)}</h2>`);
    }
    sections.push(commandHtml(command));
  }
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(report.title)}</title><style>${style}</style></head>
<body>
<h1>${escapeHtml(report.title)}</h1>
<table>${report.summary.map(([name, value]) => `<tr><td>${escapeHtml(name)}</td><td>${escapeHtml(value)}</td></tr>`).join('')}</table>
${report.pictures.map(({ title, svg }) => `<h2>${escapeHtml(title)}</h2>\n<figure>${inline(svg)}</figure>`).join('\n')}
${sections.join('\n')}
</body>
</html>
`;
}
