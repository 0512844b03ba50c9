import { type Command, Option } from "commander";
import type { ControlPlaneClient } from "../../client/client.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { AccessRole } from "../../protocol/records.ts";
import { writeAccess } from "../access/write-access.ts";
import { type Cli, type CommandContext, describe, handle, jsonOption, pipelineOptions } from "../command.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import { humanDuration } from "../display/quantities.ts";
import { renderTable } from "../display/table.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";
import { findTarget, type Target } from "../target.ts";
import { whyAway } from "../why-away.ts";

const EXIT_CODES = [ExitCode.ok, ExitCode.usage, ExitCode.notFound, ExitCode.unavailable, ExitCode.conflict];

export function accessCommand(cli: Cli): Command {
  const command = describe({
    usage: "access",
    summary: "Say who may look at a pipeline or change it",
    description:
      "Whoever starts a pipeline owns it. Others get a file that lets them look at it, or operate its control plane, until it is revoked. The HTTP pages take a token, or a browser that opened a one-time address.",
    examples: [
      ["flowctl access url", "an address that opens the HTTP pages, once"],
      ["flowctl access grant anna", "write a file with which anna can look"],
      ["flowctl status --access quakes-anna.access.json", "use it"],
      ["flowctl access revoke anna", "refuse it from now on"],
    ],
  });
  for (const child of [list(cli), grant(cli), revoke(cli), url(cli), token(cli), rotate(cli)])
    command.addCommand(child);
  return command;
}

function list(cli: Cli): Command {
  const command = describe({
    usage: "list [pipeline]",
    summary: "List who has access besides the owner",
    examples: [["flowctl access list", "names, roles, and who granted them when"]],
    withAccess: "operates",
    exitCodes: EXIT_CODES,
  });
  jsonOption(pipelineOptions(command));
  return handle<[string | undefined], Flags>(cli, command, async (context, [argument]) => {
    const { output } = context;
    const target = await findTarget(context, argument);
    const grants = await withControlPlane(context, target, (client, signal) => client.listAccess(signal));
    if (output.json) output.printJson(grants);
    else if (grants.length === 0) output.say(`Nobody but the owner has access to ${target.name}`);
    else {
      const columns = [
        { title: "NAME", value: ({ name }: (typeof grants)[number]) => name },
        { title: "ROLE", value: ({ role }: (typeof grants)[number]) => role },
        { title: "GRANTED", value: ({ grantedAt }: (typeof grants)[number]) => new Date(grantedAt).toISOString() },
        { title: "BY", value: ({ grantedBy }: (typeof grants)[number]) => grantedBy },
      ];
      output.print(renderTable(columns, grants, output));
    }
    return ExitCode.ok;
  });
}

interface GrantFlags extends Flags {
  readonly role?: AccessRole;
  readonly output?: string;
}

function grant(cli: Cli): Command {
  const command = describe({
    usage: "grant <name>",
    summary: "Give somebody access, as a file that only you can read",
    description:
      "The file has everything that is needed: addresses, a certificate with its key, and the token for HTTP. Nobody keeps a copy. It is refused once it is revoked, and when the pipeline gets another authority: after `flowctl down`. A reader may look at everything. An operator may also change what the control plane holds, and give access to others; starting and stopping programs needs the driver.",
    examples: [
      ["flowctl access grant anna", "a reader, in <pipeline>-anna.access.json"],
      ["flowctl access grant ci --role operator -o ci.json", "an operator, in another file"],
    ],
    withAccess: "operates",
    exitCodes: EXIT_CODES,
  });
  pipelineOptions(command)
    .addOption(new Option("--role <role>", "what they may do (default: reader)").choices(["reader", "operator"]))
    .option("-o, --output <file>", "file to write; it must not exist");
  jsonOption(command);
  return handle<[string], GrantFlags>(cli, command, async (context, [name], flags) => {
    const { output } = context;
    const target = await findTarget(context, undefined, { changes: "access grant" });
    const role = flags.role ?? "reader";
    const file = await writeAccess(context, target, { name, role, file: flags.output });
    if (output.json) output.printJson({ pipeline: target.name, name, role, file });
    else {
      output.say(`${name} has access to ${target.name} as ${role}, until \`flowctl access revoke ${name}\``);
      output.print(file);
    }
    return ExitCode.ok;
  });
}

function revoke(cli: Cli): Command {
  const command = describe({
    usage: "revoke <name>",
    summary: "Refuse the file of somebody from now on",
    description: "Open connections, HTTP tokens and sessions of browsers end, too.",
    examples: [["flowctl access revoke anna", "anna has no access any more"]],
    withAccess: "operates",
    exitCodes: EXIT_CODES,
  });
  pipelineOptions(command);
  return handle<[string], Flags>(cli, command, async (context, [name]) => {
    const target = await findTarget(context, undefined, { changes: "access revoke" });
    await withControlPlane(context, target, (client, signal) => client.revokeAccess(name, signal));
    context.output.say(`${name} has no access to ${target.name} any more`);
    return ExitCode.ok;
  });
}

function url(cli: Cli): Command {
  const command = describe({
    usage: "url [pipeline]",
    summary: "Print an address that opens the HTTP pages in a browser, once",
    description:
      "Whoever opens it first, within five minutes, may look for eight hours in that browser. Whoever has the address can open it.",
    examples: [["flowctl access url", "paste it into the address bar"]],
    withAccess: "looks",
    exitCodes: EXIT_CODES,
  });
  pipelineOptions(command);
  return handle<[string | undefined], Flags>(cli, command, async (context, [argument]) => {
    const { output, signal } = context;
    const target = await findTarget(context, argument);
    const endpoint = await target.driver.controlPlane(target.name, signal);
    if (endpoint !== undefined && endpoint.identity === undefined) {
      output.warn(`${target.name} runs with --insecure: everybody who reaches this address can look`);
      output.print(`${endpoint.http}/`);
      return ExitCode.ok;
    }
    const session = await withControlPlane(context, target, (client, inner) => client.openSession(inner));
    output.print(`${endpoint?.http}/login/${session.code}`);
    output.say(`Opens once, within ${humanDuration(session.expiresInMs)}`);
    return ExitCode.ok;
  });
}

interface TokenFlags extends Flags {
  readonly header?: boolean;
}

function token(cli: Cli): Command {
  const command = describe({
    usage: "token [pipeline]",
    summary: "Print the token for the HTTP pages",
    description:
      "It is yours: the owner's, or that of the access file in use. It is good until that is replaced or revoked.",
    examples: [
      ["(umask 077; flowctl access token > token)", "for Prometheus: `credentials_file: token`"],
      [
        "flowctl access token --header | curl -H @- http://127.0.0.1:PORT/api/pipeline",
        "for curl; `up` prints the port",
      ],
    ],
    withAccess: "looks",
    exitCodes: EXIT_CODES,
  });
  pipelineOptions(command).option("--header", "print it as a line `Authorization: Bearer …`");
  return handle<[string | undefined], TokenFlags>(cli, command, async (context, [argument], { header = false }) => {
    const target = await findTarget(context, argument);
    // One that would be refused is not printed.
    await withControlPlane(context, target, (client, signal) => client.getPipeline(signal));
    const identity = (await target.driver.controlPlane(target.name, context.signal))?.identity;
    if (identity === undefined) throw insecure(target.name);
    const { httpToken } = await import("../../client/access-file.ts");
    context.output.print(`${header ? "Authorization: Bearer " : ""}${httpToken(identity)}`);
    return ExitCode.ok;
  });
}

function rotate(cli: Cli): Command {
  const command = describe({
    usage: "rotate [pipeline]",
    summary: "Replace the certificate and the token of the owner",
    description:
      "The former ones are refused from then on, sessions of browsers that they opened included. Commands find the new ones by themselves. Access that was granted stays as it is.",
    examples: [["flowctl access rotate", "after somebody may have read the former ones"]],
    withAccess: "operates",
    exitCodes: EXIT_CODES,
  });
  pipelineOptions(command);
  return handle<[string | undefined], Flags>(cli, command, async (context, [argument]) => {
    const target = await findTarget(context, argument, { changes: "access rotate" });
    await withControlPlane(context, target, (client, signal) => client.rotateOwner(signal));
    context.output.say(`The certificate and the token of the owner of ${target.name} are replaced`);
    return ExitCode.ok;
  });
}

async function withControlPlane<T>(
  { deps, signal }: CommandContext,
  { name, driver }: Target,
  what: (client: ControlPlaneClient, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const access = new ControlPlaneAccess(deps, driver, name);
  try {
    return await access.call(signal, what);
  } catch (error) {
    throw await whyAway(error, driver, name, signal);
  } finally {
    access.close();
  }
}

function insecure(pipeline: string): FlowctlError {
  return new FlowctlError({
    code: "access/insecure",
    kind: "conflict",
    message: `${pipeline} runs with --insecure: HTTP takes no token, and everybody who reaches its port can look`,
    fix: "Run `flowctl up` without --insecure",
  });
}
