// The names that prompts complete: embeddings and LoRAs of the server, asked for anew with every connection.

import { useEffect, useState, type ReactNode } from "react";
import { useWorkspace } from "../../state/context";
import { CompletionsContext, NO_COMPLETIONS, type Completions as Names } from "../../widgets";
import { useEditor } from "./editor";

/** Prompts name a LoRA without the suffix of its file. */
export const loraName = (file: string): string => file.replace(/\.(safetensors|sft|ckpt|pt|pth|bin)$/i, "");

export function Completions({ children }: { readonly children: ReactNode }): React.JSX.Element {
  const { client } = useEditor();
  const connected = useWorkspace((state) => state.connected);
  const [names, setNames] = useState<Names>(NO_COMPLETIONS);
  useEffect(() => {
    if (!connected) return undefined;
    let isWanted = true;
    const none = (): string[] => []; // without the list there is nothing to complete, and nothing else is lost
    const asked = [client.embeddings().catch(none), client.models("loras").catch(none)] as const;
    void Promise.all(asked).then(([embeddings, loras]) => isWanted && setNames({ embeddings, loras: loras.map(loraName) }));
    return () => {
      isWanted = false;
    };
  }, [client, connected]);
  return <CompletionsContext.Provider value={names}>{children}</CompletionsContext.Provider>;
}
