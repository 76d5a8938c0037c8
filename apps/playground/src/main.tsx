import { render } from 'preact';
import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/chat.css';
import './styles/markdown.css';
import './styles/calls.css';
import './styles/thoughts.css';
import './styles/panels.css';
import { resume } from './state/session';
import { App } from './ui/app';

void resume();
const root = document.getElementById('app');
if (root !== null) render(<App />, root);
