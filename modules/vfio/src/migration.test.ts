import { covers } from '@vdpalab/testing';
import { VFIO_MIGRATION_P2P, VFIO_MIGRATION_PRE_COPY, VFIO_MIGRATION_STOP_COPY } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { nextMigrationState } from './migration.ts';

const NAMES = ['ERROR', 'STOP', 'RUNNING', 'STOP_COPY', 'RESUMING', 'RUNNING_P2P', 'PRE_COPY', 'PRE_COPY_P2P'];
const ALL = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P | VFIO_MIGRATION_PRE_COPY;
const next = (flags: number, from: string, to: string): string => {
  const state = nextMigrationState(flags, NAMES.indexOf(from), NAMES.indexOf(to));
  return state === null ? 'E' : NAMES[state]!;
};

test('a device with everything goes as the table says', () => {
  covers('2.13.8', '2.13.9');
  const columns = ['STOP', 'RUNNING', 'PRE_COPY', 'PRE_COPY_P2P', 'STOP_COPY', 'RESUMING', 'RUNNING_P2P'];
  const table: Record<string, string> = {
    STOP: 'STOP RUNNING_P2P RUNNING_P2P RUNNING_P2P STOP_COPY RESUMING RUNNING_P2P',
    RUNNING: 'RUNNING_P2P RUNNING PRE_COPY RUNNING_P2P RUNNING_P2P RUNNING_P2P RUNNING_P2P',
    PRE_COPY: 'RUNNING RUNNING PRE_COPY PRE_COPY_P2P PRE_COPY_P2P RUNNING RUNNING',
    PRE_COPY_P2P: 'RUNNING_P2P RUNNING_P2P PRE_COPY PRE_COPY_P2P STOP_COPY RUNNING_P2P RUNNING_P2P',
    STOP_COPY: 'STOP STOP E E STOP_COPY STOP STOP',
    RESUMING: 'STOP STOP STOP STOP STOP RESUMING STOP',
    RUNNING_P2P: 'STOP RUNNING RUNNING PRE_COPY_P2P STOP STOP RUNNING_P2P',
    ERROR: 'E E E E E E E',
  };
  for (const [from, row] of Object.entries(table)) expect([from, columns.map((to) => next(ALL, from, to)).join(' ')]).toEqual([from, row]);
  for (const from of NAMES) expect(next(ALL, from, 'ERROR')).toBe('E');
});

test('states that a device lacks are passed by, and refused when asked for', () => {
  const plain = VFIO_MIGRATION_STOP_COPY;
  expect(next(plain, 'STOP', 'RUNNING')).toBe('RUNNING');
  expect(next(plain, 'RUNNING', 'STOP_COPY')).toBe('STOP');
  expect(next(plain, 'RUNNING', 'RUNNING_P2P')).toBe('E');
  expect(next(plain, 'RUNNING', 'PRE_COPY')).toBe('E');
  expect(next(plain | VFIO_MIGRATION_PRE_COPY, 'PRE_COPY', 'STOP_COPY')).toBe('STOP_COPY');
  expect(next(0, 'STOP', 'RUNNING')).toBe('E');
  expect(nextMigrationState(ALL, 8, 1)).toBeNull();
  expect(nextMigrationState(ALL, 1, 8)).toBeNull();
});

test('every way ends: from any state to any other in at most seven steps, or not at all', () => {
  for (const flags of [VFIO_MIGRATION_STOP_COPY, VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P, ALL]) {
    for (let from = 1; from < 8; from++) {
      for (let to = 1; to < 8; to++) {
        let at: number | null = from;
        for (let steps = 0; at !== null && at !== to; steps++) {
          expect(steps).toBeLessThan(8);
          at = nextMigrationState(flags, at, to);
        }
      }
    }
  }
});
