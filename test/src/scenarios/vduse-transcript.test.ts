import { goesAsWritten } from '../support/goes-as-written.ts';

goesAsWritten('vduse', 'a disk served by a process goes through its life');
