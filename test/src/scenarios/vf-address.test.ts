import { goesAsWritten } from '../support/goes-as-written.ts';

goesAsWritten('vf-address', 'a physical function sets addresses that vDPA devices show');
