// The engine, which the build puts beside the site.
export * from "../../web/browser/index.js";
