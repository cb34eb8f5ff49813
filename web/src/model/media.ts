// Which files are videos, by their names.

export const VIDEO = /\.(mp4|webm|mov|mkv)$/i;

export const isVideo = (filename: string): boolean => VIDEO.test(filename);
