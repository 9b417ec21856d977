import { describe, expect, it } from 'vitest';
import { reportHtml } from './report.ts';

const report = {
  title: 'a <run>', summary: [['frames', '80']] as const, pictures: [{ title: 'modules', svg: '<?xml version="1.0"?>\n<svg id="x"></svg>' }],
  commands: [
    { section: 'one', command: 'echo "<b>"', output: '<b>\nexit: 0', ok: true },
    { section: 'one', command: 'false', output: 'exit: 1', ok: false },
  ],
};

describe('a report', () => {
  const html = reportHtml(report);

  it('shows text as text, whatever the lab printed', () => {
    expect(html).toContain('<title>a &lt;run&gt;</title>');
    expect(html).toContain('$ echo &quot;&lt;b&gt;&quot;</span>\n&lt;b&gt;</pre>');
  });

  it('holds its pictures and refers to nothing outside', () => {
    expect(html).toContain('<figure><svg id="x"></svg></figure>');
    expect(html).not.toMatch(/<(link|script)\b|src=|https?:/);
  });

  it('marks the command that differs, and its status', () => {
    expect(html).toContain('<pre class="bad"><span class="cmd">$ false</span>\n<span class="note">exit: 1</span></pre>');
  });

  it('heads each section once', () => {
    expect(html.match(/<h2>one<\/h2>/g)).toHaveLength(1);
  });
});
