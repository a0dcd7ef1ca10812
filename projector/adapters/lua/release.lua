#!lua
-- Gives short ids back that are still the session's, and that the one who gives them back announced last.
--
-- KEYS  1: `ns:short`, see claim.lua.
-- ARGV  1: who announced it; then session id, short id, and so on.

for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], '=' .. ARGV[i]) == ARGV[i + 1] .. ' ' .. ARGV[1] then
    redis.call('HDEL', KEYS[1], ARGV[i + 1], '=' .. ARGV[i])
  end
end
