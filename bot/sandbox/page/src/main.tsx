import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "slack-blocks-to-jsx/dist/style.css";
import "./fonts.css";
import "./base.css";
import "./window.css";
import "./blocks.css";
import "./panels.css";
import { App } from "./app";
import { Boundary } from "./boundary";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <Boundary instead={<p className="boot">The page stumbled. Reload it: nothing in the workspace is lost.</p>}><App /></Boundary>
  </StrictMode>,
);
