import { describeOddAnswers } from './odd-answers.js';

describeOddAnswers(2);
