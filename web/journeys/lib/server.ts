// A server as people start it: `main.py` in a process of its own, over a folder that is thrown away afterwards.

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(fileURLToPath(new URL("../../..", import.meta.url)));

const START_MS = 60_000;

/** The Python that has Easel's packages: the project's own, or the one that EASEL_PYTHON names. */
export function python(): string {
  const own = join(ROOT, ".venv", "bin", "python");
  return process.env.EASEL_PYTHON ?? (existsSync(own) ? own : "python3");
}

export class Server {
  readonly base: string;
  #process: ChildProcess | undefined;
  #port = 0;

  private constructor(base: string) {
    this.base = base;
  }

  /** A server over a fresh folder that has the models of the repository. */
  static start(...options: string[]): Promise<Server> {
    return Server.over(undefined, ...options);
  }

  /** The same, with `prepare` putting files of its own into the folder first. */
  static async over(prepare: ((base: string) => void) | undefined, ...options: string[]): Promise<Server> {
    const server = new Server(mkdtempSync(join(tmpdir(), "easel-journey-")));
    prepare?.(server.base);
    if (!existsSync(join(server.base, "models"))) symlinkSync(join(ROOT, "models"), join(server.base, "models"));
    await server.up(...options);
    await server.get("/object_info"); // a server that has just begun takes seconds for the first answer
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get log(): string {
    return readFileSync(join(this.base, "server.log"), "utf-8");
  }

  /** Start it, again on the port that it had before; answers when it serves. */
  async up(...options: string[]): Promise<void> {
    const log = openSync(join(this.base, "server.log"), "a");
    const child = spawn(
      python(),
      [join(ROOT, "main.py"), "--base-directory", this.base, "--port", String(this.#port), "--cpu", ...options],
      { cwd: this.base, env: { ...process.env, OMP_NUM_THREADS: "1", PYTHONUNBUFFERED: "1" }, stdio: ["ignore", "pipe", log] },
    );
    this.#process = child;
    let said = "";
    this.#port = await new Promise<number>((found, failed) => {
      const late = setTimeout(() => failed(new Error(`no server after ${START_MS} ms: ${this.log}`)), START_MS);
      child.stdout?.on("data", (data: Buffer) => {
        said += data.toString();
        const port = /http:\/\/[^/\s]+:(\d+)/.exec(said)?.[1];
        if (port !== undefined) {
          clearTimeout(late);
          found(Number(port));
        }
      });
      child.on("exit", () => failed(new Error(`the server ended: ${said} ${this.log}`)));
    });
  }

  /** `kill -9`. */
  async down(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolved) => child.once("exit", resolved));
    child.kill("SIGKILL");
    await gone;
  }

  /** Stop it and throw its folder away. */
  async end(): Promise<void> {
    await this.down();
    rmSync(this.base, { recursive: true, force: true });
  }

  /** As it would be without the journey that failed on it: it is up, nothing runs or waits, nothing is set. */
  async tidy(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) await this.up();
    const asked = { "/queue": { clear: true }, "/interrupt": {}, "/api/v1/queue/resume": {}, "/api/settings": { "Easel.Settings": {} } };
    for (const [path, body] of Object.entries(asked)) await this.#post(path, body);
  }

  async get<T>(path: string): Promise<T> {
    const answer = await fetch(this.url + path);
    return (await answer.json()) as T;
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    return (await (await this.#post(path, body)).json()) as T;
  }

  #post(path: string, body: unknown): Promise<Response> {
    return fetch(this.url + path, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  }
}
