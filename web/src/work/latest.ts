/** Latest: one request at a time; of what is asked meanwhile only the last is sent. */

export class Latest<Question, Answer> {
  private next: { question: Question } | null = null;
  private busy = false;
  private sentAt = -Infinity;
  private age = 0;

  constructor(
    private readonly ask: (question: Question) => Promise<Answer>,
    private readonly tell: (answer: Answer, question: Question) => void,
    private readonly fail: (error: unknown) => void,
    /** Least milliseconds from one request to the next, so that the server's limit is kept. */
    private readonly pause: number,
  ) {}

  want(question: Question): void {
    this.next = { question };
    void this.run();
  }

  /** What is under way is no longer wanted. */
  drop(): void {
    this.next = null;
    this.age++;
  }

  private async run(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    while (this.next) {
      const wait = this.sentAt + this.pause - performance.now();
      if (wait > 0) {
        await new Promise((resolve) => setTimeout(resolve, wait));
        continue;
      }
      const { question } = this.next;
      this.next = null;
      this.sentAt = performance.now();
      const age = this.age;
      try {
        const answer = await this.ask(question);
        if (age === this.age) this.tell(answer, question);
      } catch (error) {
        if (age === this.age) this.fail(error);
      }
    }
    this.busy = false;
  }
}
