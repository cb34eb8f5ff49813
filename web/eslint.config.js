import importX from "eslint-plugin-import-x";
import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

// Who may import whom, from the ground up: a floor imports only floors before it.
const floors = ["model", "net", "state", "i18n", "commands", "widgets", "view", "panels"];
const zones = floors.flatMap((floor, height) =>
  floors.slice(height + 1).map((above) => ({
    target: `./src/${floor}`,
    from: `./src/${above}`,
    message: `${floor} is below ${above}`,
  })),
);

export default tseslint.config(
  { ignores: ["dist"] },
  ...tseslint.configs.strict,
  {
    files: ["src/**/*.{ts,tsx}"],
    plugins: { "import-x": importX, "react-hooks": hooks },
    settings: { "import-x/resolver": { node: { extensions: [".ts", ".tsx"] } } },
    rules: {
      ...hooks.configs.recommended.rules,
      "import-x/no-restricted-paths": ["error", { zones }],
      "max-lines": ["error", 500],
      complexity: ["error", 14],
      "no-restricted-globals": ["error", "eval"],
    },
  },
  {
    files: ["src/model/**/*.ts"],
    ignores: ["src/model/**/*.test.ts"],
    rules: {
      "no-restricted-imports": ["error", { patterns: ["react*", "@xyflow/*", "zustand*", "../net/*", "../view/*"] }],
      "no-restricted-globals": ["error", "window", "document", "fetch", "localStorage"],
    },
  },
);
