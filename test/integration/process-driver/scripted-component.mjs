// A component that does what its SCRIPT says, without any of flowctl's code: serves /health, and one of
//   serve            until SIGTERM, then exits 0
//   finish           prints a line and exits 0
//   fail             prints a line and exits 3
//   stubborn         ignores SIGTERM
//   family           like serve, with three children that ignore SIGTERM: one as it is, one in a process group of its own,
//                    and one without an environment, whose pid it prints
//   chatter          prints a numbered line every 5 ms until SIGTERM
//   flood            prints FLOOD_LINES lines of 100 bytes as fast as it can, then serves
import { spawn } from "node:child_process";
import { writeSync } from "node:fs";
import { createServer } from "node:http";

const script = process.env.SCRIPT ?? "serve";
const say = (text) => writeSync(1, `${text}\n`);
const serve = () => {
  createServer((_, response) => response.end("ok")).listen(Number(process.env.FLOWCTL_HEALTH_PORT), "127.0.0.1", () =>
    say(`listening pid=${process.pid}`),
  );
};
const leaveOnSigterm = () =>
  process.on("SIGTERM", () => {
    say("terminated");
    process.exit(0);
  });

if (script === "finish") {
  say("finished");
} else if (script === "fail") {
  process.stderr.write("failing\n");
  process.exitCode = 3;
} else if (script === "stubborn") {
  process.on("SIGTERM", () => say("not yet"));
  serve();
} else if (script === "family") {
  const program = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)";
  spawn(process.execPath, ["-e", program], { stdio: "ignore" });
  spawn(process.execPath, ["-e", program], { stdio: "ignore", detached: true }).unref();
  const bare = spawn(process.execPath, ["-e", program], { stdio: "ignore", env: {} });
  say(`bare pid=${bare.pid}`);
  leaveOnSigterm();
  serve();
} else if (script === "chatter") {
  let count = 0;
  setInterval(() => say(`line ${++count}`), 5);
  leaveOnSigterm();
  serve();
} else if (script === "flood") {
  const lines = Number(process.env.FLOOD_LINES);
  for (let i = 1; i <= lines; i++) say(`${i} `.padEnd(99, "x"));
  leaveOnSigterm();
  serve();
} else {
  leaveOnSigterm();
  serve();
}
