// What the server is asked for when a page of a panel opens: loading, there, or failed with a reason.

import { useCallback, useEffect, useState } from "react";
import { messageOf } from "../../commands/notify";

export interface Loaded<T> {
  readonly data?: T;
  readonly problem?: string;
  /** Ask again. */
  readonly again: () => void;
}

/** `load` must stay the same function as long as it asks for the same. */
export function useLoaded<T>(load: () => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ data?: T; problem?: string }>({});
  const [round, setRound] = useState(0);
  useEffect(() => {
    let gone = false;
    load().then(
      (data) => !gone && setState({ data }),
      (error: unknown) => !gone && setState({ problem: messageOf(error) }),
    );
    return () => {
      gone = true;
    };
  }, [load, round]);
  const again = useCallback(() => setRound((now) => now + 1), []);
  return { ...state, again };
}
