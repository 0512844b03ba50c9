import type { Service } from "../../../pipeline/pipeline.ts";
import { type Grant, grantsOf } from "../../grants.ts";
import { instanceId } from "../../identity.ts";
import { instanceContainerName } from "../resources/names.ts";
import { attachments, settingsBody } from "./container-settings.ts";
import type { ContainerSpec, ImageFacts, SpecContext } from "./container-spec.ts";

/** The container of a service: a plain Compose service, with the engine's default capabilities. */
export function serviceContainer(context: SpecContext, service: Service, image: ImageFacts): ContainerSpec {
  const { pipeline } = context;
  const instance = instanceId(service.id, 1);
  return {
    resource: "container",
    name: instanceContainerName(pipeline.name, service.id, 1),
    image: image.name,
    body: {
      ...settingsBody(context, service, instance, image, service.environment),
      ...(service.user === undefined ? {} : { User: service.user }),
    },
    networks: attachments(pipeline, service, [service.id, instance]),
    files: serviceFiles(service),
    owned: [],
    hostFolders: [],
    hostFiles: [],
  };
}

/** As in Compose: a service's program may well read them as another user than it starts as. */
export function serviceFiles(service: Pick<Service, "secrets" | "configs">): readonly Grant[] {
  return grantsOf(service).map((file) => ({ mode: 0o444, ...file }));
}
