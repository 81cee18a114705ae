import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "slack-blocks-to-jsx/dist/style.css";
import "./fonts.css";
import "./base.css";
import "./window.css";
import "./blocks.css";
import "./panels.css";
import { App } from "./app";

createRoot(document.getElementById("root")!).render(<StrictMode><App /></StrictMode>);
