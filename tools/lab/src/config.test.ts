import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LabFileError, labJsonSchema, parseLabFile } from './config.ts';

const issues = (text: string) => {
  try {
    parseLabFile(text, 'x.yaml');
  } catch (error) {
    if (error instanceof LabFileError) return error.message.split('\n');
    throw error;
  }
  return [];
};

describe('a lab file', () => {
  it('may be empty: every key has a default', () => {
    expect(parseLabFile('', 'x.yaml')).toMatchObject({ seed: 1, memory: 268435456, iommu: true, release: '6.1.0-vdpalab' });
  });

  it('says whose behaviour the kernel has, and is named after it unless it says how', () => {
    expect(parseLabFile('kernel: "6.12"', 'x.yaml')).toMatchObject({ kernel: '6.12', release: '6.12.0-vdpalab' });
    expect(parseLabFile('kernel: "6.12"\nrelease: 6.12.9-mine', 'x.yaml').release).toBe('6.12.9-mine');
    expect(issues('kernel: "5.10"')[0]).toMatch(/^x\.yaml:1:9: kernel: /);
  });

  it('takes sizes with K, M and G', () => {
    expect(parseLabFile('memory: 2G', 'x.yaml').memory).toBe(2 * 1024 ** 3);
  });

  it('fills in a physical function from its model', () => {
    const lab = parseLabFile('pci: {root_ports: [{at: "00:01.0", bus: 7}], functions: [{at: "07:00.0", model: n3000}]}', 'x.yaml');
    expect(lab.pci.functions[0]).toMatchObject({ sriov: { total: 8, offset: 2, stride: 1 }, queue_size: 1024, mtu: 1500 });
  });

  it('names file, line and column of a wrong value', () => {
    expect(issues('seed: 1\npci:\n  functions:\n    - at: "7:0.0"\n      model: n3000\n')).toEqual([
      'x.yaml:4:11: pci.functions[0].at: an address such as "07:00.0"',
    ]);
  });

  it('points at an unknown key itself', () => {
    expect(issues('seed: 1\nsede: 2\n')).toEqual(['x.yaml:2:1: sede: unknown key']);
  });

  it('points at a YAML error', () => {
    expect(issues('a: [1\nb: 2')[0]).toMatch(/^x\.yaml:2:1: /);
  });

  it('refuses a function on a bus no root port leads to', () => {
    expect(issues('pci: {functions: [{at: "07:00.0", model: n3000}]}')).toEqual([
      'x.yaml:1:24: pci.functions[0].at: no root port leads to bus 07',
    ].map((s) => expect.stringContaining(s.slice(12))));
  });

  it('refuses more virtual functions than the port has buses for', () => {
    const text = 'pci: {root_ports: [{at: "00:01.0", bus: 7}], functions: [{at: "07:00.0", model: n3000, sriov: {total: 255}}]}';
    expect(issues(text)[0]).toContain('raise its "buses"');
  });

  it('refuses overlapping buses, double addresses, unknown networks and double names', () => {
    const text = `
pci:
  root_ports: [{at: "00:01.0", bus: 7, buses: 3}, {at: "00:01.0", bus: 9}]
  functions: [{at: "07:00.0", model: n3000, link: nowhere, vfs: {"9": {}}}]
networks: [{name: a}, {name: a}]
`;
    expect(issues(text).map((s) => s.replace(/^x.yaml:\d+:\d+: /, ''))).toEqual([
      'pci.root_ports[1].at: 00:01.0 is taken',
      'pci.root_ports[1].bus: buses overlap those behind 00:01.0',
      'pci.functions[0].link: no network is called nowhere',
      'pci.functions[0].vfs.9: there are 8 virtual functions',
      'networks[1].name: a is named twice',
    ]);
  });

  it('refuses responders that share a name or an address, and a third end of a wire', () => {
    const text = `
networks:
  - {name: a, responders: [{}, {}, {name: other, ip: 10.0.0.256}]}
  - {name: w, kind: wire, responders: [{name: x, mac: "52:54:00:00:00:01", ip: 1.1.1.1}, {name: y, ip: 1.1.1.2}, {name: z, mac: "52:54:00:00:00:02"}]}
`;
    expect(issues(text).map((s) => s.replace(/^x.yaml:\d+:\d+: /, ''))).toEqual(['networks[0].responders[2].ip: an IPv4 address such as 10.0.0.1']);
    expect(issues(text.replace('256', '2')).map((s) => s.replace(/^x.yaml:\d+:\d+: /, ''))).toEqual([
      'networks[0].responders[1].name: responder is named twice',
      'networks[0].responders[1].mac: 52:54:00:00:00:fe is taken',
      'networks[0].responders[1].ip: 10.0.0.1 is taken',
      'networks[0].responders[2].mac: 52:54:00:00:00:fe is taken',
      'networks[1].responders[2]: a wire has two ends',
    ]);
  });

  it('has a JSON Schema for editors, and the one in the docs is current', () => {
    const written = readFileSync(new URL('../../../docs/reference/lab-file.schema.json', import.meta.url), 'utf8');
    expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(labJsonSchema())));
  });
});
