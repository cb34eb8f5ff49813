// The canvas of the tab that is shown, with the table of commands behind its menus.

import { useMemo } from "react";
import { Canvas } from "../../view/Canvas";
import type { CanvasCommands } from "../../view/commands-context";
import { canRun } from "../../commands/dispatch";
import { keysOf, showChord } from "../../commands/keys";
import { useEditor } from "./editor";

export function Stage(): React.JSX.Element {
  const { table, context, act, settings, dispatch, canvas } = useEditor();
  const commands = useMemo((): CanvasCommands => {
    const find = (id: string) => table.find((command) => command.id === id);
    return {
      act,
      can: (id) => {
        const command = find(id);
        return command !== undefined && canRun(command, context());
      },
      keys: (id) => {
        const command = find(id);
        const [chord] = command === undefined ? [] : keysOf(command, settings.getState().values.keys);
        return chord === undefined ? "" : showChord(chord, dispatch.mac);
      },
    };
  }, [table, context, act, settings, dispatch]);
  return <Canvas portRef={canvas} commands={commands} />;
}
