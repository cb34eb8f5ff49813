import { createContext, useContext } from "react";
import type { Controller } from "./controller";

export const ControllerContext = createContext<Controller | undefined>(undefined);

export const useController = (): Controller => {
  const controller = useContext(ControllerContext);
  if (controller === undefined) throw new Error("there is no canvas around this component");
  return controller;
};
