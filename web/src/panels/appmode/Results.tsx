// What the chosen results show: pictures edge to edge, the preview while they come.

import { useTranslation } from "react-i18next";
import { isArray, isObject, type JsonObject } from "../../model/json";
import type { NodeId } from "../../model/ids";
import { isVideo } from "../../model/media";
import { useRuns } from "../../state/context";
import { useEditor } from "../shell/editor";

export function Results({ outputs }: { readonly outputs: readonly NodeId[] }): React.JSX.Element {
  const { t } = useTranslation();
  const nodes = useRuns((state) => state.nodes);
  const job = useRuns((state) => state.job);
  const preview = Object.values(nodes).findLast((run) => run.state === "running" && run.preview !== undefined)?.preview;
  const files = outputs.flatMap((id) => filesOf(nodes[id]?.output));
  return (
    <section className="form-results" aria-label={t("form.results")} aria-busy={job !== undefined}>
      {job !== undefined && (
        <div className="form-progress" role="progressbar" aria-label={t("shell.progress")} aria-valuenow={Math.round(job.progress * 100)}>
          <div style={{ transform: `scaleX(${job.progress})` }} />
        </div>
      )}
      {preview !== undefined && <img className="form-preview" src={preview} alt={t("form.preview")} />}
      {files.length === 0 && preview === undefined && <p className="form-empty">{t("form.noResults")}</p>}
      <div className="form-pictures">
        {files.map((file) => (
          <Picture key={`${file.subfolder}/${file.filename}`} file={file} />
        ))}
      </div>
    </section>
  );
}

interface Shown {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

function Picture({ file }: { readonly file: Shown }): React.JSX.Element {
  const { client } = useEditor();
  const address = client.viewUrl(file);
  return isVideo(file.filename) ? (
    <video src={address} controls loop muted aria-label={file.filename} />
  ) : (
    <a href={address} target="_blank" rel="noreferrer">
      <img src={address} alt={file.filename} />
    </a>
  );
}

/** The files in what a node shows, of whatever kind. */
function filesOf(output: JsonObject | undefined): Shown[] {
  return Object.values(output ?? {}).flatMap((list) =>
    isArray(list)
      ? list.filter(isObject).flatMap((file) => {
          const { filename, subfolder, type } = file;
          if (typeof filename !== "string") return [];
          return [{ filename, subfolder: typeof subfolder === "string" ? subfolder : "", type: typeof type === "string" ? type : "output" }];
        })
      : [],
  );
}
