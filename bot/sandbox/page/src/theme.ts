/** Light or dark: `?theme=`, else the last choice made here, else what the system prefers. */
import { useEffect, useState } from "react";
import type { Theme } from "./desk";
import { parameter } from "./route";

const KEY = "keyturn-sandbox-theme";
const isTheme = (value: string | null): value is Theme => value === "light" || value === "dark";

export function useTheme(): [Theme, (theme: Theme) => void] {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const [system, setSystem] = useState<Theme>(dark.matches ? "dark" : "light");
  const [chosen, setChosen] = useState([parameter("theme"), localStorage.getItem(KEY)].find(isTheme) ?? null);
  const theme = chosen ?? system;
  useEffect(() => {
    const follow = (event: MediaQueryListEvent) => setSystem(event.matches ? "dark" : "light");
    dark.addEventListener("change", follow);
    return () => dark.removeEventListener("change", follow);
  }, []);
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  const choose = (next: Theme) => {
    localStorage.setItem(KEY, next);
    setChosen(next);
  };
  return [theme, choose];
}
