// Object URLs of previews by key. What was replaced is revoked, else every step of every run stays in memory; but not
// before the next one comes, since the page may just be loading it.

export interface PreviewUrls {
  /** The address of `picture`, in place of the one that `key` had. */
  show(key: string, picture: Blob): string;
  drop(key: string): void;
  /** Drop every key that begins with `prefix`. */
  dropAll(prefix?: string): void;
}

export interface UrlMaker {
  createObjectURL(blob: Blob): string;
  revokeObjectURL(url: string): void;
}

export function createPreviewUrls(maker: UrlMaker = URL): PreviewUrls {
  const urls = new Map<string, readonly string[]>();
  const drop = (key: string): void => {
    for (const url of urls.get(key) ?? []) maker.revokeObjectURL(url);
    urls.delete(key);
  };
  return {
    show: (key, picture) => {
      const url = maker.createObjectURL(picture);
      const [before, ...older] = urls.get(key) ?? [];
      for (const old of older) maker.revokeObjectURL(old);
      urls.set(key, before === undefined ? [url] : [url, before]);
      return url;
    },
    drop,
    dropAll: (prefix = "") => {
      for (const key of [...urls.keys()]) if (key.startsWith(prefix)) drop(key);
    },
  };
}
