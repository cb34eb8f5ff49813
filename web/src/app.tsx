import { EditorContext } from "./state/editor";
import { WorkspaceContext } from "./state/context";
import { ShellContext, type Editor } from "./panels/shell/editor";
import { Shell } from "./panels/shell/Shell";

export function App({ editor }: { readonly editor: Editor }): React.JSX.Element {
  return (
    <ShellContext.Provider value={editor}>
      <WorkspaceContext.Provider value={editor.workspace}>
        <EditorContext.Provider value={editor}>
          <Shell />
        </EditorContext.Provider>
      </WorkspaceContext.Provider>
    </ShellContext.Provider>
  );
}
