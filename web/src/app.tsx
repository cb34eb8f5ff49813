export function App(): React.JSX.Element {
  return <main>Easel</main>;
}
