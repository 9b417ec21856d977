/** A person's shell in a running lab, over a connection. */
import type { Lab } from '@vdpalab/lab';
import { Interactive, type AppletTable } from '@vdpalab/shell';
import type { Connection } from './connection.ts';
import { parseFollowup, ProtocolError, toText } from './protocol.ts';

/** Serve it until `exit`, or until the client leaves. */
export async function shellForClient(lab: Lab, connection: Connection, applets: AppletTable): Promise<void> {
  const shell = await Interactive.open(lab, {
    applets,
    onOutput: (text, stream) => connection.send(stream === 'stdout' ? { out: toText(Buffer.from(text)) } : { err: toText(Buffer.from(text)) }),
  });
  let status = 0;
  try {
    connection.send({ prompt: shell.prompt, last: status });
    for (let line = await connection.next(); line !== null; line = await connection.next()) {
      const message = parseFollowup(line);
      if ('complete' in message) {
        const [completions, word] = await shell.complete(message.complete);
        connection.send({ completions, word });
        continue;
      }
      if ('cancel' in message) shell.cancel();
      else if ('line' in message) status = (await shell.submit(message.line)) ?? status;
      else throw new ProtocolError('not what a shell is told');
      if (shell.exited !== null) break;
      connection.send({ prompt: shell.prompt, last: status });
    }
  } finally {
    await shell.close();
  }
  connection.end({ exit: shell.exited ?? status });
}
