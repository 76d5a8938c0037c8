import { Contract } from './contract.js';

/** For all test files of a process. The schemas compile as they are needed, and each of them takes a while. */
export const contract = new Contract();
