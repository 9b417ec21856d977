import { treeModule } from '@vdpalab/kmod';
import { describe, expect, it } from 'vitest';
import { drawDevices } from './device-drawing.ts';
import type { DeviceNode } from './device-drawing.ts';
import { checkDrawing } from './drawing.ts';
import { drawModules } from './module-drawing.ts';
import { moduleGraph } from './module-graph.ts';
import { renderDot } from './render-dot.ts';
import { renderSvg } from './render-svg.ts';
import { renderJson, renderText, renderTree } from './render-text.ts';

const modules = drawModules(moduleGraph({
  modules: [
    treeModule('vhost_iotlb.ko', { exports: ['i1', 'i2'] }), treeModule('vhost.ko', { exports: ['v1'], needs: ['i1'] }),
    treeModule('vhost_vdpa.ko', { needs: ['v1', 'i1', 'i2'] }), treeModule('a.ko', { exports: ['a'], needs: ['b'] }), treeModule('b.ko', { exports: ['b'], needs: ['a'] }),
  ],
  builtin: [], order: ['vhost_iotlb.ko', 'vhost.ko', 'vhost_vdpa.ko', 'a.ko', 'b.ko'],
}));

const DEVICES: readonly DeviceNode[] = [
  { id: 'p1', kind: 'process', label: 'qemu', layer: 'process' },
  { id: 'vhost', kind: 'subsystem', label: 'vhost', layer: 'subsystem' },
  { id: 'vhost-vdpa-0', kind: 'driver', label: 'vhost-vdpa-0', layer: 'bus-driver' },
  { id: 'virtio_vdpa', kind: 'driver', label: 'virtio-vdpa', layer: 'bus-driver' },
  { id: 'vdpa0', kind: 'device', label: 'vdpa0', layer: 'bus' },
  { id: 'ifcvf', kind: 'driver', label: 'ifcvf', layer: 'parent' },
  { id: '0000:01:00.2', kind: 'hardware', label: 'VF "2"', layer: 'hardware' },
];
const devices = drawDevices(DEVICES, [
  { from: 'p1', to: 'vhost' }, { from: 'vhost', to: 'vhost-vdpa-0' }, { from: 'vhost-vdpa-0', to: 'vdpa0' }, { from: 'vdpa0', to: 'ifcvf' },
  { from: 'ifcvf', to: '0000:01:00.2', label: 'probe' },
]);

describe('text', () => {
  it('draws modules as trees, with what is shown above and cycles marked', () => {
    expect(renderText(modules)).toBe([
      'vhost_vdpa', '|- vhost  [v1]', '|  `- vhost_iotlb  [i1]', '`- vhost_iotlb  [i1, i2]',
      'a', '`- b  [b]', '   `- a (cycle)  [a]', '',
    ].join('\n'));
    expect(renderTree(modules, ['vhost', 'vhost_vdpa'])).toBe([
      'vhost', '`- vhost_iotlb  [i1]', 'vhost_vdpa', '|- vhost (see above)  [v1]', '`- vhost_iotlb  [i1, i2]', '',
    ].join('\n'));
  });

  it('draws the device layers from process to hardware', () => {
    expect(renderText(devices)).toBe([
      '  process     qemu -> vhost',
      `userspace ${'='.repeat(61)}`, 'kernel',
      '  subsystem   vhost -> vhost-vdpa-0',
      '  bus-driver  vhost-vdpa-0 -> vdpa0',
      '              virtio-vdpa',
      '  bus         vdpa0 -> ifcvf',
      '  parent      ifcvf -> VF "2" (probe)',
      `kernel ${'='.repeat(64)}`, 'hardware',
      '  hardware    VF "2"', '',
    ].join('\n'));
    expect(renderText(drawDevices([], []))).toContain('  bus         -\n');
  });
});

it('JSON holds the whole picture', () => {
  const parsed: unknown = JSON.parse(renderJson(devices));
  expect(parsed).toMatchObject({ title: 'devices', nodes: DEVICES, edges: devices.edges, layers: devices.layers });
});

describe('DOT', () => {
  it('ranks the layers, in order', () => {
    const dot = renderDot(devices);
    expect(dot).toContain('  { rank=same; "layer: bus-driver"; "vhost-vdpa-0"; "virtio_vdpa"; }\n');
    expect(dot).toContain('  "layer: process" -> "layer: subsystem" [style=dotted, arrowhead=none];\n');
    expect(dot).toContain('  "layer: bus" -> "layer: parent" [style=invis];\n');
    expect(dot).toContain('  "0000:01:00.2" [label="VF \\"2\\"", shape=box3d];\n');
    expect(dot).toContain('  "ifcvf" -> "0000:01:00.2" [label="probe"];\n');
  });

  it('draws softdeps dashed and weak needs dotted', () => {
    const dot = renderDot({ title: 't', layers: [], nodes: ['a', 'b'].map((id) => ({ id, kind: 'module', label: id })), edges: [{ from: 'a', to: 'b', kind: 'soft' }, { from: 'b', to: 'a', kind: 'weak', label: 'x' }] });
    expect(dot).toContain('"a" -> "b" [style=dashed];');
    expect(dot).toContain('"b" -> "a" [label="x", style=dotted];');
  });
});

it('SVG is drawn by Graphviz, ranks from top to bottom', async () => {
  const svg = await renderSvg(devices);
  expect(svg).toContain('<svg');
  expect(svg).toContain('VF &quot;2&quot;');
  const y = (id: string): number => Number(new RegExp(`<title>${id}</title>[\\s\\S]*?<text[^>]* y="(-?[0-9.]+)"`).exec(svg)?.[1]);
  const ranks = ['p1', 'vhost', 'vhost&#45;vdpa&#45;0', 'vdpa0', 'ifcvf'].map(y);
  expect([...ranks].sort((a, b) => a - b)).toEqual(ranks);
  expect(new Set(ranks).size).toBe(ranks.length);
  expect(y('virtio_vdpa')).toBe(y('vhost&#45;vdpa&#45;0'));
  expect(await renderSvg(modules)).toContain('vhost_iotlb');
});

it('a picture that does not fit together is refused', () => {
  const [first] = DEVICES as [DeviceNode];
  expect(() => drawDevices([first, first], [])).toThrow('devices: two nodes are called p1');
  expect(() => drawDevices([first], [{ from: 'p1', to: 'x' }])).toThrow('devices: the edge p1 -> x ends at x, which is no node');
  expect(() => checkDrawing({ ...devices, nodes: [{ id: 'q', kind: 'k', label: 'q', layer: 'moon' }], edges: [] })).toThrow('node q is on layer moon');
});
