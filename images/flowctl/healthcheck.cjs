// Asks the program in this container whether it is healthy. Plain CommonJS: it starts in half the time of a module.
const port = process.env.FLOWCTL_HEALTH_PORT || "8088";
const request = require("node:http").get({ host: "127.0.0.1", port, path: "/health", timeout: 4000 }, (response) => {
  response.resume();
  process.exitCode = response.statusCode === 200 ? 0 : 1;
});
request.on("timeout", () => request.destroy());
request.on("error", () => {
  process.exitCode = 1;
});
