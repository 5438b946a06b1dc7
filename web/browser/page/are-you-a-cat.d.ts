// The engine, which the build puts beside these modules.
export * from "../index.js";
