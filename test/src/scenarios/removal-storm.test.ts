import { goesAsWritten } from '../support/goes-as-written.ts';

goesAsWritten('removal-storm', 'devices of subfunctions and of virtual functions go while they are open, in all orders');
