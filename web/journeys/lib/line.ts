// A line to a server that can be cut: pages that are opened through it lose the server, which works on.

import { connect, createServer, type AddressInfo, type Server as Listener, type Socket } from "node:net";
import { once } from "node:events";

export class Line {
  readonly #sockets = new Set<Socket>();
  readonly #target: number;
  #listener: Listener | undefined;
  #port = 0;

  private constructor(target: number) {
    this.#target = target;
  }

  /** A line to the server at `url`. */
  static async to(url: string): Promise<Line> {
    const line = new Line(Number(new URL(url).port));
    await line.mend();
    return line;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listen, again where it listened before. */
  async mend(): Promise<void> {
    const listener = createServer((near) => {
      const far = connect(this.#target, "127.0.0.1");
      for (const [one, other] of [[near, far], [far, near]] as const) {
        this.#sockets.add(one);
        one.pipe(other);
        one.on("error", () => other.destroy());
        one.on("close", () => {
          this.#sockets.delete(one);
          other.destroy();
        });
      }
    });
    listener.listen(this.#port, "127.0.0.1");
    await once(listener, "listening");
    this.#port = (listener.address() as AddressInfo).port;
    this.#listener = listener;
  }

  /** Everything on it ends at once, and nobody gets through. */
  async cut(): Promise<void> {
    const closed = this.#listener === undefined ? undefined : once(this.#listener, "close");
    this.#listener?.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
