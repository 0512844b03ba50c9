// Runs one of flowctl's programs, dist/<bundle>, with the code that V8 compiled when it was built.
//
// Half of the time until a program does something is the compiler's. V8 takes what it compiled earlier only where it is the same V8
// with the same flags; else it compiles anew, and all that is lost is that time.
"use strict";
const { readFileSync } = require("node:fs");
const { createRequire, wrap } = require("node:module");
const { dirname } = require("node:path");
const { setFlagsFromString } = require("node:v8");
const { Script } = require("node:vm");

/** `flags` are V8's, set before anything is compiled. Returns what runs, with what has been compiled of it by then. */
module.exports = function start(bundle, ...flags) {
  for (const flag of flags) setFlagsFromString(flag);
  const filename = `${__dirname}/${bundle}`;
  // The build writes ASCII alone, which V8 keeps at one byte a character.
  const source = wrap(readFileSync(filename, "latin1"));
  const script = new Script(source, { filename, cachedData: compiled(`${filename}.v8`) });
  // As Node.js says it of a module that waits for what never comes: each of the programs says how it ended.
  process.exitCode = 13;
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename));
  return script;
};

function compiled(path) {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
