import { expect, it } from "vitest";
import { event, group, setUp } from "./publisher-world.fake.ts";

it("gives one that takes the place of two removed groups each event once", () => {
  const { publisher, turn, connect } = setUp([group("y"), group("z")]);
  for (let n = 0; n < 3; n++) publisher.publish(event(n), { settle: () => undefined }, n);
  publisher.setGroups([group("x", { takesOver: ["z", "y"] })]);
  const heir = connect("x", "x-1", 100);
  turn();
  expect(heir.ids()).toEqual(["n-0", "n-1", "n-2"]);
});
