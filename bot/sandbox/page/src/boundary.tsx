/** Stops a part that cannot be drawn from taking the page with it. */
import { Component } from "react";

interface Props {
  /** What to show in its place. */
  instead: React.ReactNode;
  children: React.ReactNode;
}

export class Boundary extends Component<Props, { failed: boolean }> {
  state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  /** What could not be drawn may have been replaced by something that can. */
  componentDidUpdate(before: Props) {
    if (this.state.failed && before.children !== this.props.children) this.setState({ failed: false });
  }

  render() {
    return this.state.failed ? this.props.instead : this.props.children;
  }
}
