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

it("gives one that took nothing for a while what it had not of a removed group's, and nothing twice", () => {
  const { publisher, turn, connect, settled } = setUp([group("y"), group("z")]);
  const receipt = { settle: (tag: number) => void settled.push(tag) };
  const heir = connect("y", "y-1", 2);
  const publish = (...numbers: number[]): void => {
    for (const n of numbers) publisher.publish(event(n), receipt, n);
  };
  publish(0, 1, 2);
  turn();
  heir.member?.ack(1);
  publisher.setGroups([group("y", { draining: true }), group("z")]);
  publish(3, 4);
  publisher.setGroups([group("y", { takesOver: ["z"] })]);
  publish(5);
  heir.creditSequence = 10;
  heir.member?.grant({ maxSequence: 10, maxBytes: 1e6 });
  turn();
  expect(heir.ids().toSorted()).toEqual(["n-0", "n-1", "n-2", "n-3", "n-4", "n-5"]);
  heir.member?.ack(6);
  expect(settled.toSorted()).toEqual([0, 1, 2, 3, 4, 5]);
});
