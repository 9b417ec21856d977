import { goesAsWritten } from '../support/goes-as-written.ts';

goesAsWritten('mlx5-vdpa', 'vDPA devices of subfunctions come, work and go');
