// The client of PostgreSQL. A file of this folder holds a library and nothing of flowctl's own: the build makes of each a bundle beside
// the programs, which only the component that uses it loads.
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";

export { copyFrom, pg };
