// The server is away: what that means, said once and only after a moment, since short gaps concern nobody.

import { WifiOff } from "lucide-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useWorkspace } from "../../state/context";

const PATIENCE_MS = 2000;

export function Offline(): React.JSX.Element | null {
  const connected = useWorkspace((state) => state.connected);
  return connected ? null : <Banner />;
}

function Banner(): React.JSX.Element | null {
  const { t } = useTranslation();
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  if (!late) return null;
  return (
    <div className="offline" role="alert">
      <WifiOff size={14} aria-hidden />
      <strong>{t("shell.offline")}</strong> <span>{t("shell.offlineHelp")}</span>
    </div>
  );
}
