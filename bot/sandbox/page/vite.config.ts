/**
 * Builds the page into ../static, which is committed and shipped: users need no Node.
 *
 * The output depends on the sources and the lock file only, so a rebuild changes no byte.
 */
import react from "@vitejs/plugin-react";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { defineConfig, type Plugin } from "vite";

/** The package directory that a bundled module belongs to, or null for our own sources. */
function packageOf(module: string): string | null {
  if (!module.includes("/node_modules/")) return null;
  let folder = dirname(module.replace(/\?.*$/, "").replace(/^\0+/, ""));
  while (!existsSync(join(folder, "package.json")) || !JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version)
    folder = dirname(folder);
  return folder;
}

/** Ships the licence of everything that is in the bundle: MIT and OFL ask for it. */
function licences(): Plugin {
  return {
    name: "licences",
    generateBundle() {
      const folders = new Set([...this.getModuleIds()].map(packageOf).filter((folder) => folder !== null));
      const texts = [...folders].map((folder) => {
        const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
        const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
        return `${name} ${version} (${license})\n\n${file ? readFileSync(join(folder, file), "utf8").trim() : ""}\n`;
      });
      this.emitFile({ type: "asset", fileName: "LICENCES.txt", source: texts.sort().join(`\n${"-".repeat(72)}\n\n`) });
    },
  };
}

export default defineConfig({
  plugins: [react(), licences()],
  build: {
    outDir: "../static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1500,
    reportCompressedSize: false,
  },
  server: { proxy: { "/sandbox": "http://127.0.0.1:8421", "/files": "http://127.0.0.1:8421" } },
});
