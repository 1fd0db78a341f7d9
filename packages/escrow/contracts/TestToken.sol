// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title Play money for local chains: six decimals, anyone mints, ERC-2612 and ERC-3009 as the large stable coins.
/// @dev OpenZeppelin's ERC-3009 takes sequential nonces; those in circulation take any, and an order's id is any.
contract TestToken is ERC20Permit {
    bytes32 private constant RECEIVE_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );

    error BadAuthorization();

    mapping(address who => mapping(bytes32 nonce => bool)) public authorizationState;

    constructor() ERC20("Souk Test Dollar", "TUSD") ERC20Permit("Souk Test Dollar") {}

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        bool timely = block.timestamp > validAfter && block.timestamp < validBefore;
        if (!timely || to != msg.sender || authorizationState[from][nonce]) revert BadAuthorization();
        bytes32 digest =
            _hashTypedDataV4(keccak256(abi.encode(RECEIVE_TYPEHASH, from, to, value, validAfter, validBefore, nonce)));
        if (ECDSA.recover(digest, v, r, s) != from) revert BadAuthorization();
        authorizationState[from][nonce] = true;
        _transfer(from, to, value);
    }
}
