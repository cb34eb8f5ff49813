// The server that served this page has the page's version. One that answers with another was updated meanwhile.

import type { Client } from "./client";

export interface VersionCheck {
  /** True if the page should be loaded again. Ask after every connection. */
  isOutdated(): Promise<boolean>;
}

export function createVersionCheck(client: Pick<Client, "systemStats">): VersionCheck {
  let own: string | undefined;
  return {
    isOutdated: async () => {
      const { system } = await client.systemStats();
      own ??= system.easel_version;
      return own !== undefined && system.easel_version !== undefined && system.easel_version !== own;
    },
  };
}
