export const words = {
  "app.name": "Easel",
};
