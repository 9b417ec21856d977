/** The control socket of a running lab. */
import { createServer, type Server } from 'node:net';
import { chmodSync } from 'node:fs';
import type { HostProcesses } from '@vdpalab/fusefs';
import type { Lab } from '@vdpalab/lab';
import type { AppletTable } from '@vdpalab/shell';
import { Connection } from './connection.ts';
import { runForClient } from './lab-command.ts';
import { shellForClient } from './lab-shell.ts';
import type { PassFile } from './trap/descriptor-calls.ts';
import type { FindDevice } from './trap/stat-calls.ts';
import { TrapSupervisor } from './trap/supervisor.ts';
import { parseRequest, ProtocolError, type Entrance, type LabStatus, type Request } from './protocol.ts';

/** Milliseconds that programs have to end once they are killed; what waits in state D does not. */
const DRAIN_MS = 2000;

/** What the socket gives access to. */
export interface Controlled {
  readonly lab: Lab;
  readonly processes: HostProcesses;
  readonly applets: AppletTable;
  /** `null` where the lab's files are not mounted. */
  readonly pass: PassFile | null;
  readonly findDevice: FindDevice | null;
  /** Told of what should not happen. */
  readonly report: (text: string) => void;
  /** Where programs enter. @throws Error why they cannot */
  readonly entrance: () => Entrance;
  readonly status: () => Omit<LabStatus, 'attached'>;
  /** Shut the lab down. @returns what was left behind */
  readonly down: () => Promise<readonly string[]>;
  /** The client that asked for it knows what was left: the socket may go. */
  readonly isDown: (left: readonly string[]) => void;
}

/** A program that has entered. */
export interface Attached {
  readonly pid: number;
  readonly argv: readonly string[];
}

/** Serves clients, several at once. What one of them sends harms no other. */
export class ControlServer {
  readonly #server: Server;
  readonly #controlled: Controlled;
  readonly #connections = new Set<Connection>();
  readonly #attached = new Map<Connection, Attached>();
  readonly #supervisors = new Set<TrapSupervisor>();
  /** What is served, and what for. */
  readonly #served = new Map<Promise<void>, { readonly connection: Connection; what: string | null }>();

  private constructor(controlled: Controlled) {
    this.#controlled = controlled;
    this.#server = createServer({ allowHalfOpen: false }, (socket) => {
      const connection = new Connection(socket);
      this.#connections.add(connection);
      socket.on('close', () => {
        this.#connections.delete(connection);
        this.#attached.delete(connection);
      });
      const served = { connection, what: null };
      const end = this.#serve(connection, served).finally(() => this.#served.delete(end));
      this.#served.set(end, served);
    });
  }

  /** Listen on a socket, which only this user can reach. @throws Error with the code EADDRINUSE */
  static async listen(path: string, controlled: Controlled): Promise<ControlServer> {
    const control = new ControlServer(controlled);
    await new Promise<void>((resolve, reject) => {
      control.#server.once('error', reject);
      control.#server.listen(path, () => resolve());
    });
    chmodSync(path, 0o600);
    return control;
  }

  get attached(): readonly Attached[] {
    return [...this.#attached.values()];
  }

  /** End the programs and shells of clients that are there. @returns which were */
  async drain(): Promise<string[]> {
    await Promise.all([...this.#supervisors].map((supervisor) => supervisor.close()));
    const running = [...this.#served].filter(([, { what }]) => what !== null);
    for (const [, { connection }] of running) connection.destroy();
    await Promise.race([Promise.all(running.map(([end]) => end)), new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref())]);
    return running.map(([, { what }]) => what as string); // filtered above
  }

  /** Take no more clients and let go of those that are there. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.destroy();
    await closed;
  }

  /** Serve one client; its faults are its own, and a fault of the lab is told to it. */
  async #serve(connection: Connection, served: { what: string | null }): Promise<void> {
    try {
      const line = await connection.next();
      if (line === null) return;
      const request = parseRequest(line);
      if (request.op === 'run') served.what = `the lab's program ${request.argv[0]} was still running`;
      if (request.op === 'shell') served.what = 'a shell was still open';
      await this.#answer(connection, request);
    } catch (error) {
      if (error instanceof ProtocolError) connection.refuse(error);
      else connection.end({ error: error instanceof Error ? error.message : String(error) });
    }
  }

  async #answer(connection: Connection, request: Request): Promise<void> {
    const { lab, applets, entrance, status } = this.#controlled;
    switch (request.op) {
      case 'run': return runForClient(lab, connection, request, applets);
      case 'shell': return shellForClient(lab, connection, applets);
      case 'status': return connection.end({ status: { ...status(), attached: this.attached } });
      case 'attach':
        connection.send({ attached: entrance() });
        this.#attached.set(connection, { pid: request.pid, argv: request.argv });
        connection.listen(() => {
          throw new ProtocolError('an attached program says nothing');
        });
        return undefined;
      case 'trap': return this.#trap(connection, request);
      case 'down': return this.#down(connection);
      default: return request satisfies never;
    }
  }

  /** Answer the calls of a filter for as long as anybody has it. */
  #trap(connection: Connection, { pid, listener, families }: Request & { readonly op: 'trap' }): void {
    const { lab, processes, pass, findDevice, report } = this.#controlled;
    const supervisor = TrapSupervisor.of({ pid, listener }, { lab, processes, families, pass, findDevice, report });
    this.#supervisors.add(supervisor);
    const gone = async (): Promise<void> => {
      await supervisor.ended;
      await supervisor.close();
      this.#supervisors.delete(supervisor);
    };
    gone().catch((error: unknown) => report(`trap of process ${pid}: ${String(error)}`));
    connection.end({ trapped: true });
  }

  async #down(connection: Connection): Promise<void> {
    const { down, isDown } = this.#controlled;
    const left = await down();
    connection.end({ left });
    connection.onClosed(() => isDown(left));
  }
}
