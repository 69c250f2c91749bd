import { expect, test } from "vitest";
import { Route } from "../src/decode/route";

const times = (route: Route, place: "local" | "server", each: number, count: number) => {
  for (let turn = 0; turn < count; turn++) route.tell(place, each);
};

test("the server answers until the other way is measured, and clearly quicker", () => {
  const route = new Route();
  expect(route.next(true)).toBe("server");
  expect(route.toMeasure(true)).toBeNull();
  times(route, "server", 90, 3);
  expect(route.toMeasure(true)).toBe("local");
  times(route, "local", 80, 3);
  expect(route.next(true)).toBe("server");
  times(route, "local", 40, 7);
  expect(route.next(true)).toBe("local");
  expect(route.toMeasure(true)).toBeNull();
});

test("one slow answer changes nothing, and a machine that got slow is left", () => {
  const route = new Route();
  times(route, "server", 90, 3);
  times(route, "local", 40, 7);
  route.tell("local", 900);
  expect(route.next(true)).toBe("local");
  times(route, "local", 400, 7);
  expect(route.next(true)).toBe("server");
});

test("the other way is measured again after a while", () => {
  const route = new Route();
  times(route, "server", 30, 3);
  times(route, "local", 70, 3);
  times(route, "server", 30, 49);
  expect(route.toMeasure(true)).toBeNull();
  route.tell("server", 30);
  expect(route.toMeasure(true)).toBe("local");
  route.tell("local", 70);
  expect(route.toMeasure(true)).toBeNull();
});

test("images are made ready here for a first measurement, and then while this way is taken", () => {
  const route = new Route();
  expect(route.paysLocal()).toBe(true);
  times(route, "server", 30, 7);
  times(route, "local", 70, 2);
  expect(route.paysLocal()).toBe(true);
  route.tell("local", 70);
  expect(route.paysLocal()).toBe(false);
  times(route, "server", 200, 7);
  expect(route.paysLocal()).toBe(true);
  expect(route.next(false)).toBe("server");
  expect(route.next(true)).toBe("local");
  times(route, "local", 500, 7);
  expect(route.paysLocal()).toBe(false);
});

test("the way that lost gets another image after a thousand answers", () => {
  const route = new Route();
  times(route, "local", 70, 3);
  times(route, "server", 30, 999);
  expect(route.paysLocal()).toBe(false);
  route.tell("server", 30);
  expect(route.paysLocal()).toBe(true);
  route.tell("local", 70);
  expect(route.paysLocal()).toBe(false);
});

test("a wish settles whether images are made ready here", () => {
  const [forced, kept] = [new Route("local"), new Route("server")];
  times(forced, "local", 900, 7);
  times(forced, "server", 1, 7);
  expect(forced.paysLocal()).toBe(true);
  expect(kept.paysLocal()).toBe(false);
});

test("without a local decoder, or against the wish, there is no choice", () => {
  const forced = new Route("local");
  expect(forced.next(true)).toBe("local");
  expect(forced.next(false)).toBe("server");
  times(forced, "local", 900, 9);
  times(forced, "server", 1, 9);
  expect(forced.next(true)).toBe("local");
  const kept = new Route("server");
  expect(kept.next(true)).toBe("server");
  expect(kept.toMeasure(true)).toBeNull();
});
