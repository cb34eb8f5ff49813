// The line to the server goes in the middle of a run, in every way it can: afterwards the page shows what is the case.

import { expect, test } from "vitest";
import type { Desk } from "../lib/desk";
import type { Editor } from "../lib/editor";

/** A run that takes some seconds (of another number of steps than any before, which would be remembered); answers when its sampler is at work. */
async function longRun(editor: Editor, steps: number): Promise<void> {
  await editor.number(editor.node("KSampler"), "steps", String(steps));
  await editor.runButton.click();
  await editor.node("KSampler").getByRole("progressbar").waitFor({ timeout: 60_000 });
}

const works = (editor: Editor) => editor.page.getByRole("progressbar", { name: "Progress of the run" });

/** The run has ended and the page shows so: a picture, the times of the nodes, nothing at work. */
async function isDone(editor: Editor): Promise<void> {
  await works(editor).waitFor({ state: "hidden", timeout: 30_000 });
  await editor.pictureOf(editor.node("Save Image")).waitFor();
  expect(await editor.page.locator(".run-running, .run-waiting").count()).toBe(0);
  expect(await editor.node("KSampler").locator(".n-mark").innerText()).toMatch(/ s$/);
}

export function reconnectJourneys(at: Desk): void {
  test("a socket that drops during a run: the run goes on and is followed again", async () => {
    const editor = await at.open();
    await longRun(editor, 120);
    await editor.context.setOffline(true);
    await editor.page.waitForTimeout(700);
    await editor.context.setOffline(false);
    await editor.page.evaluate(() => window.dispatchEvent(new Event("online")));
    await isDone(editor);
  });

  test("offline until after the end of the run: back online, the page shows the picture", async () => {
    const editor = await at.open();
    await editor.page.addInitScript(() => {
      // Offline emulation is not for sockets: those that are open are closed by hand, new ones at once.
      const all: WebSocket[] = [];
      const Real = WebSocket;
      Object.assign(window, {
        WebSocket: class extends Real {
          constructor(url: string) {
            super(url);
            all.push(this);
            if (!navigator.onLine) this.close();
          }
        },
        drop: () => all.forEach((socket) => socket.close()),
      });
    });
    await editor.page.reload();
    await longRun(editor, 60);
    await editor.context.setOffline(true);
    await editor.page.evaluate(() => (window as unknown as { drop: () => void }).drop());
    await expect.poll(async () => (await at.server.get<{ queue_running: unknown[] }>("/queue")).queue_running.length, { timeout: 30_000 }).toBe(0);
    await editor.page.getByRole("alert").getByText("The server does not answer.").waitFor();
    await editor.context.setOffline(false);
    await isDone(editor);
  });

  test("the page is reloaded during a run: it follows the run", async () => {
    const editor = await at.open();
    await longRun(editor, 121);
    await editor.page.reload();
    await works(editor).waitFor();
    await isDone(editor);
  });

  test("the server is killed during a run and comes back: the page shows the run as it is then, to its end", async () => {
    const editor = await at.open();
    await longRun(editor, 122);
    const { queue_running: running } = await at.server.get<{ queue_running: [number, string][] }>("/queue");
    const id = running[0]?.[1] ?? "";
    await at.server.down();
    await at.server.up();
    await editor.page.getByText("The server does not answer.").waitFor({ state: "hidden" });
    await expect.poll(async () => Object.keys(await at.server.get<object>(`/history/${id}`)).length, { timeout: 60_000 }).toBe(1);
    const { status } = (await at.server.get<Record<string, { status: { status_str: string } }>>(`/history/${id}`))[id] ?? { status: { status_str: "" } };
    expect(status.status_str).toBe("success");
    await isDone(editor);
  });
}
