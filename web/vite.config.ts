import { defaultClientConditions, defineConfig } from "vite";

export default defineConfig({
  // The server answers every other path with index.html, so files are named from the root.
  base: "/",
  build: {
    outDir: "../src/segany/serve/page",
    emptyOutDir: true,
    target: "es2022",
    // The content security policy allows no data: URLs in scripts and styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  // The runtime's WebAssembly as files of its own: its threads are started from their address.
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  worker: { format: "es" },
  server: { proxy: { "/api": "http://127.0.0.1:8000" } },
});
