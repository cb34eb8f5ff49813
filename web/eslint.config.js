import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

// Who may import whom, from the ground up: a floor imports only floors before it.
const floors = ["model", "net", "state", "i18n", "commands", "widgets", "view", "panels"];
const frameworks = ["react", "react/*", "react-dom", "@xyflow/*", "zustand", "zustand/*", "i18next", "konva"];

const fences = floors.map((floor, height) => {
  const above = floors.slice(height + 1).flatMap((name) => [`../${name}/*`, `../${name}`, `**/../${name}/**`]);
  const group = floor === "model" ? [...above, ...frameworks] : above;
  return {
    files: [`src/${floor}/**/*.{ts,tsx}`],
    rules: { "no-restricted-imports": ["error", { patterns: [{ group, message: `${floor} is below that` }] }] },
  };
}).filter(({ rules }) => rules["no-restricted-imports"][1].patterns[0].group.length > 0);

export default tseslint.config(
  { ignores: ["dist", ".node"] },
  ...tseslint.configs.strict,
  {
    files: ["src/**/*.{ts,tsx}"],
    plugins: { "react-hooks": hooks },
    rules: {
      ...hooks.configs.recommended.rules,
      "max-lines": ["error", 500],
      complexity: ["error", 14],
      "no-restricted-globals": ["error", "eval"],
    },
  },
  ...fences,
  {
    files: ["src/model/**/*.ts"],
    ignores: ["src/model/**/*.test.ts"],
    rules: { "no-restricted-globals": ["error", "window", "document", "fetch", "localStorage"] },
  },
);
