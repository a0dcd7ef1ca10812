#!lua
-- Announces that short ids are about to be given back; a claim made after it withdraws the announcement.
--
-- KEYS  1: `ns:short`, see claim.lua.
-- ARGV  1: who announces it; then session id, short id, and so on.

for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i + 1]) == ARGV[i] then
    redis.call('HSET', KEYS[1], '=' .. ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[1])
  end
end
