import { describe, expect, it } from 'vitest';
import { kstrtobool, kstrtoul } from './kstrto.ts';

describe('kstrtoul', () => {
  it.each([
    ['0', 0], ['7\n', 7], ['0x1f', 31], ['017', 15], ['+3', 3], ['65535', 65535],
    ['65536', null], ['', null], ['\n', null], ['-1', null], ['1 ', null], ['2x', null], ['08', null], ['1\n\n', null],
  ])('of %j, at most 65535, is %j', (text, value) => {
    expect(kstrtoul(text, 0xffff)).toBe(value);
  });
});

describe('kstrtobool', () => {
  it.each([
    ['1\n', true], ['y', true], ['on', true], ['T', true], ['0', false], ['n', false], ['off', false], ['2', null], ['', null],
    ['o', null],
  ])('of %j is %j', (text, value) => {
    expect(kstrtobool(text)).toBe(value);
  });
});
