import { render } from "preact";
import { App } from "./parts/App";
import { begin } from "./work/entering";

render(<App />, document.getElementById("app")!);
void begin();
